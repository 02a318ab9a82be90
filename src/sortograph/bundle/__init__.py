"""The one file that a trained classifier is: writing it, checking it, running it."""
