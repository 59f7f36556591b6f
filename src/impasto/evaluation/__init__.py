"""Judging a stylization: metrics, gates, controls, sets, studies. It shares no code with what it judges."""
