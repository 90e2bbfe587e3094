"""Holds local/tools/lint_template.py to what it is for: what is broken on purpose is found.

Runs in the environment of local/tools/audit.txt, and never leaves the machine.
"""

import pathlib
import sys

import lint_template
import pytest

EVERYTHING = {"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"}
MISSPELT = {"Sid": "Typo", "Effect": "Allow", "Action": "rds:DescribeDBClusterz", "Resource": "*"}
TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
ROLE = {
    "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [TRUST]},
    "Policies": [{"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": [EVERYTHING, MISSPELT]}}],
}
BROKEN = {"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": ROLE}, "Topic": {"Type": "AWS::SNS::Topic"}}}


@pytest.fixture(scope="module")
def problems_of_checkov():
    checkov = pathlib.Path(sys.executable).with_name("checkov")
    return [f"{rule} {where}" for rule, where, _ in lint_template.checks(checkov, BROKEN)]


def test_parliament_finds_an_action_that_does_not_exist():
    found = [rule for rule, _, _ in lint_template.policies(BROKEN)]
    assert any("UNKNOWN_ACTION" in rule for rule in found), found


@pytest.mark.parametrize("problem", ["CKV_AWS_62 Role", "CKV_AWS_26 Topic"])
def test_checkov_finds_what_is_too_open(problems_of_checkov, problem):
    assert any(problem in each for each in problems_of_checkov), problems_of_checkov
