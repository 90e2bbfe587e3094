"""Holds local/tools/ministack_iam.py to what it tells policies about a change of records.

Runs in the environment of local/tools/ministack.txt, and never leaves the machine.
"""

import os

# The module is imported as the stack starts it: with a file to write to, and the keys of the stack.
for name in ("REWIND_IAM_DECISIONS", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
    os.environ.setdefault(name, os.devnull)
from ministack_iam import changed_records  # noqa: E402

CHANGE = "<Change><Action>{}</Action><ResourceRecordSet><Name>{}</Name><Type>{}</Type></ResourceRecordSet></Change>"


def batch(*changes):
    inner = "".join(CHANGE.format(*change) for change in changes)
    namespace = "https://route53.amazonaws.com/doc/2013-04-01/"
    return f'<ChangeResourceRecordSetsRequest xmlns="{namespace}"><ChangeBatch><Changes>{inner}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>'.encode()


def test_policies_are_told_every_name_type_and_action_of_a_batch():
    told = changed_records(batch(("DELETE", "DB.example.com.", "CNAME"), ("CREATE", "www.example.org", "A")))
    assert told == {
        "route53:ChangeResourceRecordSetsNormalizedRecordNames": ["db.example.com", "www.example.org"],
        "route53:ChangeResourceRecordSetsRecordTypes": ["CNAME", "A"],
        "route53:ChangeResourceRecordSetsActions": ["DELETE", "CREATE"],
    }


def test_without_a_change_there_are_no_keys():
    # A condition that the keys be there refuses such a call.
    assert changed_records(b"") == changed_records(batch()) == {}
