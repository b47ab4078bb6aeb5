r"""Tributary: many vendors' streams, one river.

Data flows one way, and the packages are named after the places it passes::

    ingress -> [inbound queue] -> normalize -> [table] -> project
                                                     \-> dispatch -> [deliveries queue] -> deliver

``api`` answers operators from the table.  Read ``model`` first (the words), then ``vendors`` (payload
to records) and ``destinations`` (record to request), then ``store`` (the table), then the stages.
"""
