"""The admin: the tag list is edited here; what models and people did is only read.

Who is curator or owner of a project may enter, and sees the rows of those projects only.
Superusers see all, and they alone the accounts.

site       the door, and what a row of a project is to those who run another
tags       the tag list: its addresses, and the page with all tags
tag_acts   add, describe, rename, merge, split, retire, restore: a form, a preview, the act
tag_past   its history and its versions; a change is reverted
tag_files  the list from a file and as a file; what the data suggest
projects   projects and accounts
erasing    an account is erased: a page that asks, the act
rows       documents, proposals, decisions, …: read and looked up
"""

from . import projects, rows, tags
from .site import site

__all__ = ["projects", "rows", "site", "tags"]
