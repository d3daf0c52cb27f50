"""report.html: one self-contained file on one sweep or several."""
# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from hypercl.faces import lazy

if TYPE_CHECKING:
    from hypercl.sweep.page.live import LivePage
    from hypercl.sweep.page.page import PAGE, Shown, page_of, write_page

__all__, __getattr__ = lazy(__name__, __file__)
