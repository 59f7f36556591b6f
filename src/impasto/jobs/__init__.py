"""Jobs that outlive the process that runs them: what was accepted ends exactly once, whatever is killed meanwhile.

The doors submit and watch; workers compute in chunks and leave a checkpoint after each. Nothing here knows HTTP.
"""
