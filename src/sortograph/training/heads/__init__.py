"""Heads on embeddings: what is tried, how it is judged within the training photos, what is kept.

Only "mlp" needs torch, and imports it when it is asked for.
"""

from sortograph.training.heads.ladder import choose_head
from sortograph.training.heads.task import Chosen, HeadTask

__all__ = ["Chosen", "HeadTask", "choose_head"]
