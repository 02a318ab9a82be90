from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sortograph.errors import UsageError
from sortograph.sorting.template import FIELDS, Facts, fit_path, read_template

FACTS = Facts("새", "1.jpg", "trip/day 2", 0.934, datetime(2024, 5, 1, 12, 30))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("{label}/{name}", "새/1.jpg"),
        ("{label}/{date:%Y-%m}/{name}", "새/2024-05/1.jpg"),
        ("{date:%Y/%m}/{label}/{name}", "2024/05/새/1.jpg"),
        ("{label}/{date}-{name}", "새/2024-05-01-1.jpg"),
        ("{folder}/{label} {probability}/{stem}{suffix}", "trip/day 2/새 0.93/1.jpg"),
        ("{probability:.0%}/{name}", "93%/1.jpg"),
        ("all/{name}", "all/1.jpg"),
        ("{name}", "1.jpg"),
        ("{{x}}/{name}", "{x}/1.jpg"),
    ],
)
def test_fields(text, path):
    template = read_template(text)
    assert template.expand(FACTS) == path
    assert template.asks_for_date == ("date" in text)


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("{lable}/{nam}", ["no field 'lable' (did you mean 'label'?)", "'nam' (did you mean 'name'?)"]),
        ("{label.__class__}/{name}", ["no field 'label.__class__'"]),
        ("{label[0]}/{name}", ["no field 'label[0]'"]),
        ("{label!r}/{name}", ["'!r' after 'label'"]),
        ("{label:>9}/{name}", ["'label' takes no format"]),
        ("{date:%Y-%Q}/{name}", ["'%Q' in the date"]),
        ("{date:{label}}/{name}", ["a field within"]),
        ("{}/{name}", ["a field without a name"]),
        ("{label}", ["does not end in {name} or {suffix}"]),
        ("{label}/{name}.jpg", ["does not end in"]),
        ("", ["does not end in"]),
        ("../{name}", ["starts with a dot"]),
        ("a/../{name}", ["starts with a dot"]),
        (".sortograph/{name}", ["starts with a dot"]),
        ("/etc/{name}", ["starts with a slash"]),
        ("C:/{name}", ["characters that not every system takes in names: ':'"]),
        ("a\\b/{name}", ["'\\\\'"]),
        ("{label/{name}", ["unexpected '{'"]),
        ("{label:x}/{date:%Q}{nam}", ["takes no format", "%Q", "did you mean 'name'", "does not end"]),
    ],
)  # fmt: skip
def test_all_mistakes_at_once(text, mistakes):
    with pytest.raises(UsageError) as caught:
        read_template(text)
    for mistake in mistakes:
        assert mistake in str(caught.value)
    assert all(field in caught.value.expected for field in FIELDS)


@given(st.text(st.characters(exclude_characters="\0"), max_size=30), st.data())
def test_values_never_lead_out(text, data):
    field = data.draw(st.sampled_from([field for field in FIELDS if field not in ("date", "probability")]))
    assume(text)
    name = text.replace("/", "_") + ".jpg"
    facts = Facts(text.replace("/", "_"), name, text, 0.5, datetime(2024, 1, 1))
    folder, last = fit_path(read_template(f"a/{{{field}}}/{{name}}").expand(facts))
    assert folder.startswith("a")
    assert not {"", ".", ".."} & {*folder.split("/"), last}
