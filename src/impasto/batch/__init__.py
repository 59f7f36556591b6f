"""Campaigns: many pictures by one plan, on local processes or on Ray, each finished once and traceable.

``inputs.py`` finds the pictures, ``plan.py`` says what is to be made of them, ``local.py`` and ``on_ray.py`` call a
function for every job, ``journal.py`` remembers what is finished, ``outputs.py`` knows whose the files are,
``protection.py`` and ``channels.py`` keep a brand's rules, ``remote.py`` fetches and puts what lies elsewhere,
``summary.py`` shows it all.
"""
