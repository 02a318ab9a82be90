"""The one place where ONNX Runtime is imported and told how to behave."""

from __future__ import annotations

import os
from typing import Any

from sortograph.errors import BundleError
from sortograph.lazy import importing

_SETTINGS = {
    # Never guessed from the bytes: in the other format nothing would have been checked.
    "session.load_model_format": "ONNX",
    # Nothing is made large while the model is loaded.
    "optimization.constant_folding_max_output_size_in_bytes": str(1 << 27),
}
_ERRORS_ONLY = 3


def onnxruntime() -> Any:
    """The module, with its telemetry off.

    Official builds report their use to their maker unless a variable is set before they are loaded (their
    Privacy.md, "Disabling Telemetry"). Whoever wants that can set ORT_DISABLE_TELEMETRY to 0.
    """
    wanted_off = os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1") == "1"
    with importing():
        import onnxruntime

    turn_off = getattr(onnxruntime, "disable_telemetry_events", None)
    if wanted_off and turn_off is not None:  # for when someone else has loaded it before us
        turn_off()
    return onnxruntime


def open_session(model: bytes, where: str, threads: int | None = None, *, memory_plan: bool = True) -> Any:
    """An onnxruntime.InferenceSession on the CPU, from bytes that the guard has let through.

    threads: within one operator; None leaves it to ONNX Runtime (one per physical core).
    memory_plan: whether the memory of a call is planned as a whole: less work for each operator, half as
        much memory again
    Raises BundleError when ONNX Runtime refuses the model.
    """
    engine = onnxruntime()
    options = engine.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads or 0
    options.enable_mem_pattern = memory_plan
    for key, value in _SETTINGS.items():
        options.add_session_config_entry(key, value)
    try:
        session = engine.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # pybind11 makes a class of each of ONNX Runtime's status codes
        raise BundleError(f"ONNX Runtime cannot open it ({first_line(error)})", where=where) from None
    # The session keeps the file for when a provider fails and it falls back on another; there is no other.
    session.disable_fallback()
    if hasattr(session, "_model_bytes"):
        session._model_bytes = b""
    return session


def first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
