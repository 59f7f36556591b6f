"""Campaigns: many pictures by one plan, on local processes or on Ray, each finished once and traceable.

``inputs.py`` finds the pictures, ``plan.py`` says what is to be made of them, ``local.py`` and ``on_ray.py`` call a
function for every job, ``journal.py`` remembers what is finished, ``protection.py`` and ``channels.py`` keep a brand's
rules, ``report.py`` shows it all.
"""
