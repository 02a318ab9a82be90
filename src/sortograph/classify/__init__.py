"""Photos → Predictions. Imports no more than what one photo needs.

Typical use:

    classifier = load("runs/cnn-20260101-120000")
    for prediction in classifier.predict_many(find_photos(["holiday/"])):
        print(prediction.path, prediction.label)
"""

from sortograph.classify.classifier import Classifier, FakeClassifier, load
from sortograph.classify.finding import Names, find_photos

__all__ = ["Classifier", "FakeClassifier", "Names", "find_photos", "load"]
