"""The Hugging Face hub, from which timm fetches weights: whether it may be asked, and whether it answers.

Nothing heavy is imported here, so that a machine without a network is told so at once.
"""

from __future__ import annotations

import functools
import http.client
import logging
import os
import threading
import urllib.error
import urllib.request

OFFLINE = "SORTOGRAPH_OFFLINE"
_SECONDS = 5
_NO = ("", "0", "false", "no", "off")
_WEIGHTS = (
    "model.safetensors",
    "pytorch_model.bin",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
)
# Read by huggingface_hub when it is first imported. Whoever has set them otherwise keeps them.
_QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_SYMLINKS_WARNING": "1",
    "HF_HUB_ETAG_TIMEOUT": str(_SECONDS),
    "HF_HUB_DOWNLOAD_TIMEOUT": "20",  # between two packets, not for the whole file
}


def offline() -> bool:
    """Whether the user has asked to stay off the network: SORTOGRAPH_OFFLINE=1, or the hub's own variable."""
    return any(os.environ.get(name, "").lower() not in _NO for name in (OFFLINE, "HF_HUB_OFFLINE"))


def prepare(offline: bool) -> None:
    """Tells huggingface_hub to be quiet, to give up soon and, where `offline`, to use its cache alone."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    from huggingface_hub import constants

    # It tells about each attempt that fails; what comes of them is told by us.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    # It looks the constant up at each request, and may have been imported long before us.
    constants.HF_HUB_OFFLINE = offline


def address(hub_id: str = "") -> str:
    """Of weights on the hub, or of the hub itself (HF_ENDPOINT, https://huggingface.co)."""
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    return f"{endpoint}/{hub_id}/resolve/main/{_WEIGHTS[0]}" if hub_id else endpoint


def reachable(address: str) -> bool:
    """Whether a server answers within 5 seconds, whatever it answers; asked once for each process."""
    return _answers(address)


@functools.cache
def _answers(address: str) -> bool:
    answered = threading.Event()

    def ask() -> None:
        if _responds(address):
            answered.set()

    # Timeouts of sockets do not cover the look-up of a name, which may take minutes.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_SECONDS)
    return answered.is_set()


def _responds(address: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError, http.client.HTTPException):
        return False


def cached(hub_id: str) -> bool:
    """Whether weights such as "timm/resnet50.a1_in1k" lie in the hub's own cache on this machine."""
    prepare(offline())
    from huggingface_hub import try_to_load_from_cache

    return any(isinstance(try_to_load_from_cache(hub_id, name), str) for name in _WEIGHTS)
