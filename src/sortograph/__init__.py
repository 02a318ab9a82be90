"""sortograph: a folder of labelled photos in; a trained, honestly evaluated, deployable classifier out."""

__version__ = "0.1.0"
