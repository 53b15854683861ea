"""The corpora of PR and slot filling, which S3PRL's wheel leaves out.

`phones` holds PR's class, `slots` that of slot filling, and `windows` what both share. S3PRL finds `corpus/` as
`s3prl.downstream.ctc.corpus` after `registration.register()` has put this folder on that package's search path. It has
no `__init__.py`, so that it hides no corpus of S3PRL's git tree.
"""
