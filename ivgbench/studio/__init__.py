"""The studio: a local page where one draws boxes, has clips made and scored, and saves the case.

catalogue.py   what can be chosen: backbones, methods, their options and settings
requests.py    what a page asks for, checked; each mistake with the field that it is in
tickets.py     who waits for what: a bounded queue, one worker, cancelling
making.py      the clips of a ticket: made and measured as `compare` does, with the models kept loaded
previews.py    a clip as a picture of all its frames, and what is drawn over it
commands.py    a request as command lines
saving.py      a request as a case of a suite in the studio's folder
guard.py       who may ask: hosts, token, origin, sizes
server.py      the addresses; assets/ is the page
"""
