"""From the index to batches: cached pixels, order, augmentation. The side of the house that knows torch."""
