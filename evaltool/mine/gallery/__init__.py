"""The gallery: one HTML page in which people review mined samples, from disk, without a server or a network."""

from evaltool.mine.gallery.page import Gallery, gallery_of, write_gallery
from evaltool.mine.gallery.texts import Texts, read_texts

__all__ = ["Gallery", "Texts", "gallery_of", "read_texts", "write_gallery"]
