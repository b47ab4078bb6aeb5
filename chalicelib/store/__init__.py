"""The table: the only package that knows a key.  One function an access pattern.

entity      pk                    sk                              listed through
----------  --------------------  ------------------------------  ------------------------------------
device      T#tenant#D#device     DEVICE                          by_time T#tenant#DEVICE
state       T#tenant#D#device     STATE                           (and which hours are stale)
segment     T#tenant#D#device     M#kind#first_observed_at#dig    (facts alone: F#kind#...)
rollup      T#tenant#D#device     R#1h#day                        (the cells of a day that is over)
event       T#tenant#D#device     E#observed_at#id                by_time T#tenant#EVENT#month
media       T#tenant#D#device     E!#started_at#id                by_time T#tenant#MEDIA#month
signal      T#tenant#D#device     S#dig(key)#at#dig
alert       T#tenant#D#device     A#dig(key)#raised_at            by_time T#tenant#ALERT#month,
                                                                  by_state T#tenant#ALERTS#kind
pointer     T#tenant#ID#alert     ALERT
month       T#tenant              B#KIND#month                    (and the kinds of alerts: B#ALERTS#kind)
connection  C#connection          CONNECTION                      by_time T#tenant#CONNECTION
profile     T#tenant#C#connection P#message kind                  (written when a type's fields change)
tally       T#tenant#C#connection H#hour                          (counted, once a minute at most)
renormal.   T#tenant#N#connection number                          by_state RENORMALIZE
integration T#tenant#I            integration
delivery    T#tenant#I#integr.    L#delivery id                   by_time T#..#I#integr#month, by_state DUE
job         T#tenant#J#owner      job id                          by_time T#tenant#JOB#owner, by_state JOBS
export      T#tenant#X            export id                       by_time T#tenant#EXPORT, by_state EXPORTS
quarantine  T#tenant#Q            quarantine id                   by_time T#tenant#QUARANTINE#month
api key     K#sha256              KEY                             by_time T#tenant#KEY
allowance   T#tenant#RATE#key     ALLOWANCE                       (what a busy key may still do)
call        T#tenant#ONCE#digest  CALL                            (an idempotency key's, for a day)
audit       T#tenant#W            entry id                        by_time T#tenant#AUDIT#month
data key    HUB                   DATAKEY#made_at                 (encrypted by KMS; see sealing)

Writers of what a vendor said (segment, event, media, signal) use :meth:`Table.remember`: the same thing
written twice is written once, and its first arrival is kept.  Writers of what follows from it (state,
device, alert, rollup) use :meth:`Table.replace`, which refuses to overwrite what it has not read.
"""
