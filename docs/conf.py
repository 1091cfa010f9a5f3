"""How the documentation becomes a site; `make site` runs it, with every warning an error.

Pages are the Markdown files as they stand in the repository. Nothing is fetched, neither while the
site is built nor while it is read.
"""

from antiphon import __version__

project = "Antiphon"
author = "The Antiphon authors"
version = release = __version__
extensions = ["myst_parser"]
source_suffix = [".md"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"Antiphon {__version__}"
html_show_sourcelink = False
html_copy_source = False
