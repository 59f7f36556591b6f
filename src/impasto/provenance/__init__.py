"""Where a picture comes from: signing it by C2PA, verifying that, and recognising copies that lost their signature.

What every file carries without this room, the recipe and IPTC's source type, is written by images/. Packages of the
extra ``provenance`` are imported when something is signed or verified.
"""
