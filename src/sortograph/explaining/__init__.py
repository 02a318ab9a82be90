"""What an answer rests on: parts of the photo (`occlusion`, `gradcam`), photos of training (`neighbours`).

`gradcam` alone needs torch, and only when it is called.
"""
