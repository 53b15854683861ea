"""PR's phone corpus, which S3PRL's wheel leaves out.

`dataset` holds the class. `corpus/` is the folder that S3PRL sees as `s3prl.downstream.ctc.corpus` once
`registration.register()` has put this folder on that package's search path.
"""
