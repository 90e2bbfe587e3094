"""Values that the template's parameters admit: the default, what conditions compare with, and the shortest, longest and most
awkward text that the allowed pattern lets through.

They are derived from the template alone, so that a parameter added later is covered. Nothing here asks AWS.
"""

import functools
import re
from re import _constants as sre
from re import _parser as sre_parser

import regex

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
VALUE_BYTES = 4096
# Of each item of a list: a list as a whole is held to what AWS takes by nobody, so no item may be absurd.
ITEM_CHARACTERS = 256
PLAIN = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# Characters that break JSON, policies, patterns and descriptions, the worst first.
AWKWARD = "'\"\\<>{}%$&|^`?*#;:, ()[]!~@=+/._-\u00fc\u20ac" + PLAIN
UNCONSTRAINED = "it's \"odd\" <a> & {b}, \\c \u00fc\u20ac"
# Ids of AWS's own parameter types, which CloudFormation checks before it makes anything.
TYPED = {
    "AWS::EC2::VPC::Id": "vpc-0123456789abcdef0",
    "AWS::EC2::Subnet::Id": "subnet-0123456789abcdef0",
    "AWS::EC2::SecurityGroup::Id": "sg-0123456789abcdef0",
    "AWS::Route53::HostedZone::Id": "Z0123456789ABCDEFGHIJ",
}


def is_list(parameter: dict) -> bool:
    return parameter["Type"].startswith(("CommaDelimitedList", "List<"))


def value_of(parameter: dict, text: str) -> str | list[str]:
    """The value that a Ref gives."""
    return [item.strip() for item in text.split(",")] if is_list(parameter) else text


def admits(parameter: dict, text: str) -> bool:
    """True when CloudFormation accepts the value."""
    if len(text.encode()) > VALUE_BYTES:
        return False
    if "AllowedValues" in parameter and text not in map(str, parameter["AllowedValues"]):
        return False
    if parameter["Type"] == "Number":
        try:
            number = float(text)
        except ValueError:
            return False
        return float(parameter.get("MinValue", number)) <= number <= float(parameter.get("MaxValue", number))
    if not int(parameter.get("MinLength", 0)) <= len(text) <= int(parameter.get("MaxLength", VALUE_BYTES)):
        return False
    pattern = parameter.get("AllowedPattern")
    values = value_of(parameter, text)
    return pattern is None or all(regex.fullmatch(pattern, each) for each in (values if is_list(parameter) else [values]))


def candidates(parameter: dict, compared: set[str], partition: str, region: str, account: str) -> list[str]:
    """Values to render with: the default first, then what conditions tell apart, then the extremes."""
    kind, found = parameter["Type"], []
    if "Default" in parameter:
        found.append(str(parameter["Default"]))
    found += sorted(compared)
    if "AllowedValues" in parameter:
        found += map(str, parameter["AllowedValues"])
    elif kind == "Number":
        found += [str(parameter[key]) for key in ("MinValue", "MaxValue") if key in parameter]
    elif kind in ("String", "CommaDelimitedList"):
        longest = ITEM_CHARACTERS if is_list(parameter) else int(parameter.get("MaxLength", VALUE_BYTES))
        texts = generate(parameter["AllowedPattern"], longest) if "AllowedPattern" in parameter else unconstrained(longest)
        texts = [of_place(text, partition, region, account) for text in texts]
        # A comma would end the item; an empty one is only there so that the list may be empty.
        found += [*texts, ",".join(text.replace(",", "") for text in texts if text)] if is_list(parameter) else texts
    elif (typed := kind.removeprefix("List<").removesuffix(">")) in TYPED:
        found.append(TYPED[typed])
    return list(dict.fromkeys(text for text in found if admits(parameter, text)))


def telling(parameter: dict, values: list[str], compared: set[str]) -> list[str]:
    """Those of the values that conditions can tell apart, and one that is none of them."""
    default = str(parameter.get("Default", ""))
    apart = [value for value in values if value == default or value in compared or "AllowedValues" in parameter]
    return apart + [value for value in values if value not in apart][:1]


def unconstrained(longest: int) -> list[str]:
    return ["a", UNCONSTRAINED[:longest], "a" * longest]


@functools.cache
def generate(pattern: str, longest: int) -> list[str]:
    """The shortest text that the pattern matches, one with each part once, and the longest, of plain and of awkward characters."""
    try:
        parsed = sre_parser.parse(pattern)
    except re.error:
        return []  # of Java's alone: the gate says that it found no value
    texts = [Generator(PLAIN, 0).text(parsed), Generator(PLAIN, 1).text(parsed)]
    texts += [stretched(parsed, longest, preferred) for preferred in (PLAIN, AWKWARD)]
    return [text for text in texts if regex.fullmatch(pattern, text)]


def stretched(parsed, longest: int, preferred: str) -> str:
    """Each repetition as often as there is room for, the first ones first, or the last ones first."""
    found = ""
    repetitions = list(repeated(parsed))
    for order in (repetitions, repetitions[::-1]):
        generator = Generator(preferred, 1)
        for argument in order:
            fits, too_many = 1, min(int(argument[1]), longest) + 1
            while too_many - fits > 1:
                generator.counts[id(argument)] = middle = (fits + too_many) // 2
                if len(generator.text(parsed).encode()) <= longest:
                    fits = middle
                else:
                    too_many = middle
            generator.counts[id(argument)] = fits
        found = max(found, generator.text(parsed), key=len)
    return found


def repeated(parsed):
    """The repetitions of a parsed pattern, an outer one before those within."""
    for operator, argument in parsed:
        if operator in REPEATS:
            yield argument
            yield from repeated(argument[2])
        elif operator is sre.SUBPATTERN:
            yield from repeated(argument[-1])
        elif operator is sre.BRANCH:
            for branch in argument[1]:
                yield from repeated(branch)


def of_place(text: str, partition: str, region: str, account: str) -> str:
    """An ARN as it would be there. Where the pattern does not admit it, the gate says that it found no value."""
    parts = text.split(":")
    if len(parts) < 6 or parts[0] != "arn":
        return text
    return ":".join(["arn", partition, parts[2], parts[3] and region, parts[4] and account, *parts[5:]])


REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT)


class Generator:
    """A text for a parsed pattern, with repetitions as often as counts say, and otherwise so many times."""

    def __init__(self, preferred: str, otherwise: int) -> None:
        self.preferred, self.otherwise, self.counts = preferred, otherwise, {}

    def text(self, parsed) -> str:
        return "".join(self.part(*each) for each in parsed)

    def part(self, operator, argument) -> str:
        if operator is sre.LITERAL:
            return chr(argument)
        if operator in (sre.IN, sre.NOT_LITERAL, sre.ANY):
            return next((each for each in self.preferred if single(operator, argument, each)), "")
        if operator in REPEATS:
            least, most, inner = argument
            return self.text(inner) * max(least, min(most, self.counts.get(id(argument), self.otherwise)))
        if operator is sre.SUBPATTERN:
            return self.text(argument[-1])
        if operator is sre.BRANCH:
            branches = [self.text(each) for each in argument[1]]
            return max(branches, key=len) if self.otherwise else min(branches, key=len)
        return ""  # anchors; what looks around is held by the match at the end


def single(operator, argument, character: str) -> bool:
    """True when a class, a negated literal or a dot matches the one character."""
    if operator is sre.ANY:
        return character != "\n"
    if operator is sre.NOT_LITERAL:
        return ord(character) != argument
    negated = argument[0][0] is sre.NEGATE
    return negated != any(within(each, character) for each in argument[negated:])


def within(item, character: str) -> bool:
    operator, argument = item
    if operator is sre.LITERAL:
        return ord(character) == argument
    if operator is sre.RANGE:
        return argument[0] <= ord(character) <= argument[1]
    kinds = {
        sre.CATEGORY_DIGIT: str.isdigit,
        sre.CATEGORY_NOT_DIGIT: lambda each: not each.isdigit(),
        sre.CATEGORY_SPACE: str.isspace,
        sre.CATEGORY_NOT_SPACE: lambda each: not each.isspace(),
        sre.CATEGORY_WORD: lambda each: each.isalnum() or each == "_",
        sre.CATEGORY_NOT_WORD: lambda each: not (each.isalnum() or each == "_"),
    }
    return kinds[argument](character)
