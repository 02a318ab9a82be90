from __future__ import annotations

from sortograph.diagnosis import read_log

LOG = """\
2026-05-02 10:15:00 reading photos
2026-05-02 10:15:01 epoch 1 of 3: training loss 1.4042, accuracy 0.2834; validation loss 1.3710, accuracy 0.3140; 8.7 s, best so far
2026-05-02 10:15:02 epoch 2 of 3: training loss 9.0000, accuracy 0.2500; 0.4 s
2026-05-02 10:15:03 epoch 2 of 3: training loss 8.0000, accuracy 0.2600; 0.4 s
2026-05-02 10:15:04 Traceback (most recent call last):
  File "loop.py", line 1, in _check
sortograph.errors.GateError: the loss is nan at epoch 3, step 6
  expected: a finite number
"""  # noqa: E501


def test_epochs_and_the_failure(tmp_path):
    (tmp_path / "log.txt").write_text(LOG, encoding="utf-8")
    log = read_log(tmp_path)
    assert [(row.epoch, row.train_loss, row.validation_loss) for row in log.history] == [
        (1, 1.4042, 1.371),
        (2, 8.0, None),
    ]
    assert log.history[0].validation_accuracy == 0.314
    assert (log.kind, log.failure) == ("GateError", "the loss is nan at epoch 3, step 6")


def test_no_log_is_an_empty_one(tmp_path):
    assert read_log(tmp_path).history == ()
    (tmp_path / "log.txt").write_bytes(b"\xff\xfe nothing of ours")
    assert read_log(tmp_path).failure == ""
