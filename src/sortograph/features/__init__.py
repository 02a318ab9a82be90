"""Embeddings of photos, made once and kept by photo content, backbone, preprocess and view. Without torch."""

from sortograph.features.cache import FeatureKeeper, Pace
from sortograph.features.embedder import Embedder, GraphEmbedder

__all__ = ["Embedder", "FeatureKeeper", "GraphEmbedder", "Pace"]
