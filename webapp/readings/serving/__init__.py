"""What a reader's browser receives of an item: a small DICOMweb under the reader's own opaque token.

Nothing here knows where an item came from. Everything is made from `ReadingItem` alone, with the same
work, the same headers and the same lengths for every item of a study (docs/readings.md lists them).
"""
