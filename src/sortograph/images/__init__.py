"""Photos: bytes → RGB pixels → what a model sees. The one place where photos are decoded."""
