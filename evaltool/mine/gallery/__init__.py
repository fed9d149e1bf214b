"""The gallery: one HTML page in which people review mined samples, from disk, without a server or a network."""

from evaltool.mine.gallery.asked import AskedGallery
from evaltool.mine.gallery.page import Gallery, Page, gallery_of, write_gallery
from evaltool.mine.gallery.texts import Texts, read_texts

__all__ = ["AskedGallery", "Gallery", "Page", "Texts", "gallery_of", "read_texts", "write_gallery"]
