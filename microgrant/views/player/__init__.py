"""The player: one step of backpropagation as a page, to be walked through event by event.

With this package you can

- write the page:        Path("step.html").write_text(page(loss), encoding="utf-8")
- name what it shows:    page(loss, names=locals(), title="One step of my network")
- begin with a mistake:  page(loss, mistake="overwrite")
"""

from .document import LARGEST, TooLargeError, page

__all__ = ["LARGEST", "TooLargeError", "page"]
