"""Notices: the codes of what is told while work goes on, and is no error that ends anything.

`escale config explain CODE` shows them.  A code never changes its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notice:
    """What a code says, and the longer explanation with what to do."""

    code: str
    message: str
    why: str


NOTICES = (
    Notice(
        "B408",
        "the newest version has less than half of the files of the one before; old versions stay",
        "A disk that is not mounted looks like an empty folder. The version is there, and nothing old goes for it\n"
        "until the files are back or somebody says that it is right: escalectl backup prune SECTION.",
    ),
    Notice(
        "B403",
        "a file was changed while it was saved, or could not be read",
        "A file that changes while it is read is read once more; if it changes again, the version has it as it was\n"
        "read last, which may be a mixture. What cannot be read is not in the version; the others are. Of a database\n"
        "save what it exports.",
    ),
    Notice(
        "L120",
        "so many files were deleted here that their deletion is held",
        "More than 'max delete' allows, or all of them. Nothing is deleted elsewhere until somebody has decided:\n"
        "escalectl approve SECTION sends the deletion, escalectl approve SECTION --refuse brings the files back.",
    ),
    Notice(
        "L150",
        "the ledger was damaged and lies aside; a new one is begun",
        "It remembers what this machine and the relay last agreed on. Without it nothing is lost, but what was\n"
        "deleted here meanwhile comes back, and what was edited on both sides becomes a conflict. Check the disk.",
    ),
    Notice(
        "L204",
        "a name, or the text of a link, cannot be stored or sent",
        "The file system of this machine, or the format of the relay, does not take it. Rename it where it comes from.",
    ),
    Notice(
        "L205",
        "a file was changed here and on the relay, and this client only uploads",
        "It cannot keep both. Let this machine receive as well (mode = shared), or take your change elsewhere.",
    ),
    Notice(
        "L206",
        "a file is larger than the relay takes in one upload",
        "Servers have such limits: client_max_body_size of nginx, LimitRequestBody of Apache. The other files go on;\n"
        "this one, and those as large as it, are tried again after a day. Raise the limit of the server.",
    ),
    Notice(
        "P401",
        "another machine used the client name of this one, or this one was set up anew",
        "Updates do not wait for two machines of one name. Give each its own: client name = ...\n"
        "After a new installation, or with a new ledger, it is told once and means nothing.",
    ),
    Notice(
        "P422",
        "an entry of an index is not understood, and is left out",
        "Somebody else wrote it, or it was damaged. The other entries count; the file is sent again by who has it.",
    ),
    Notice(
        "P430",
        "the relay has lost what it knew, or was wiped or replaced; it is filled again",
        "Nothing is deleted here because of it. What was agreed on is written down again.",
    ),
    Notice(
        "P431",
        "the relay has damaged, lost or put back something",
        "A restored backup looks like this, and a storage that answers with old listings. Nothing is deleted or\n"
        "replaced here because of it, and what is newer here is written down again. An update without its content is\n"
        "also left by a machine that fell asleep in the middle of a pass and woke up. If it is none of these, ask who\n"
        "can write to the relay; with encryption = on all that they can do is to be a nuisance.",
    ),
)
