"""Keep in one line what a browser would break: short code such as `--limit 20`, and numbers such as 71.0 ± 2.2."""

import re
from typing import Any

LONGEST = 28  # characters of code that fit a phone's line and a table's cell
CODE = re.compile(rf"<code>([^<\n]{{1,{LONGEST}}})</code>")
BLOCK = re.compile(r"(<pre.*?</pre>)", re.DOTALL)
BLANK = re.compile(r"(?<=\d) (?=[%*±/↑↓])|(?<=[±/]) (?=\d)|(?<=\w) (?=[↑↓])")  # in a number, or before an arrow
NO_BREAK = "\N{NO-BREAK SPACE}"


def on_page_content(html: str, **_: Any) -> str:
    """Mark short code, which docs/styles/site.css keeps from wrapping, and join the parts of numbers."""
    parts = BLOCK.split(html)
    parts[::2] = [BLANK.sub(NO_BREAK, CODE.sub(r'<code class="unbroken">\1</code>', part)) for part in parts[::2]]
    return "".join(parts)
