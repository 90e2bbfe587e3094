"""The two services that tell what clusters cost and who is connected to them.

CloudWatch is ministack's, over measurements of the databases that run: they are taken when somebody asks, as if a minute ago. Calls in
JSON are held to the limits of GetMetricData, and get the newest values first. The price list, which ministack has not, holds what is in
ministack_prices.json: list prices of us-east-1, in the Region of the stack. It answers GetProducts alone, and only the root user,
because no function of the stack may ask.
"""

import hashlib
import json
import os
import pathlib
import re
import time
import urllib.request

from ministack import app as gateway
from ministack.services import cloudwatch

TARGET = "AWSPriceListService."
QUERIES, PAGE = 500, 100
QUERY_ID = re.compile(r"[a-z][a-zA-Z0-9_]{0,254}")
STATISTICS = {"SampleCount", "Average", "Sum", "Minimum", "Maximum"}
FILTER_TYPES = {"TERM_MATCH", "EQUALS", "CONTAINS", "ANY_OF", "NONE_OF"}
LISTED = json.loads(pathlib.Path(__file__).with_name("ministack_prices.json").read_text())


# --------------------------------------------------------------------------------------------------------- measurements


def measure() -> None:
    """Adds the present measurements of all clusters, which the control plane of RDS takes."""
    if not (rds := os.environ.get("AWS_ENDPOINT_URL_RDS")):
        return
    with urllib.request.urlopen(f"{rds}/_local/metrics", timeout=5) as response:
        measured = json.load(response)
    for one in measured:
        dimensions = {one["dimension"]: one["of"]}
        point = {"Timestamp": time.time() - 60, "Value": float(one["value"]), "Unit": "None", "Dimensions": dimensions}
        cloudwatch._metric_bucket(("AWS/RDS", one["metric"], cloudwatch._dims_key(dimensions))).append(point)


def query_problems(given: dict):
    """The reasons for which CloudWatch refuses a call of GetMetricData."""
    queries = given.get("MetricDataQueries")
    if not isinstance(queries, list) or not 1 <= len(queries) <= QUERIES:
        yield f"MetricDataQueries has to be a list of 1 to {QUERIES}"
        return
    begin, end = given.get("StartTime"), given.get("EndTime")
    if not all(isinstance(at, (int, float)) for at in (begin, end)) or begin >= end:
        yield "StartTime and EndTime are seconds, and StartTime must be less than EndTime"
    if given.get("ScanBy", "TimestampDescending") not in ("TimestampDescending", "TimestampAscending"):
        yield "ScanBy is neither TimestampDescending nor TimestampAscending"
    ids = [query.get("Id", "") for query in queries]
    if len(set(ids)) < len(ids) or not all(map(QUERY_ID.fullmatch, ids)):
        yield "each Id is unique, begins with a lowercase letter, and has only letters, digits and underscores"
    for query in queries:
        stat = query.get("MetricStat", {})
        metric = stat.get("Metric", {})
        if not metric.get("Namespace") or not metric.get("MetricName"):
            yield f"{query.get('Id')} has no MetricStat with Namespace and MetricName"
        if not isinstance(stat.get("Period"), int) or stat["Period"] < 60 or stat["Period"] % 60:
            yield f"Period of {query.get('Id')} is no multiple of 60"
        if stat.get("Stat") not in STATISTICS:
            yield f"Stat of {query.get('Id')} is none of {', '.join(sorted(STATISTICS))}"


def get_metric_data(read, params, data, is_cbor, is_json=False):
    """GetMetricData in JSON, strictly; other protocols are ministack's."""
    if not is_json:
        return read(params, data, is_cbor, is_json)
    if problem := next(query_problems(data), None):
        return cloudwatch._error("ValidationError", problem, 400, use_json=True)
    measure()
    status, headers, body = read(params, data, is_cbor, is_json)
    answer = json.loads(body)
    newest_first = data.get("ScanBy") != "TimestampAscending"
    for result in answer["MetricDataResults"]:
        points = sorted(zip(result["Timestamps"], result["Values"]), reverse=newest_first)
        result["Timestamps"], result["Values"] = [at for at, _ in points], [value for _, value in points]
    return status, headers, json.dumps(answer).encode()


# --------------------------------------------------------------------------------------------------------------- prices


class Refused(Exception):
    """A refusal: the code, and the message."""


def product(listed: dict) -> dict:
    """A product of the list in the form of the service."""
    sku = hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()[:16].upper()
    attributes = {name: value for name, value in listed.items() if name not in ("productFamily", "unit", "usd")}
    attributes |= {"regionCode": os.environ.get("AWS_REGION", "us-east-1"), "servicecode": "AmazonRDS", "locationType": "AWS Region"}
    price = {"unit": listed["unit"], "beginRange": "0", "endRange": "Inf", "pricePerUnit": {"USD": listed["usd"]}}
    term = {"sku": sku, "offerTermCode": "JRTCKXETXF", "priceDimensions": {f"{sku}.JRTCKXETXF.6YS6EN2CT7": price}, "termAttributes": {}}
    return {
        "product": {"productFamily": listed["productFamily"], "attributes": attributes, "sku": sku},
        "serviceCode": "AmazonRDS",
        "terms": {"OnDemand": {f"{sku}.JRTCKXETXF": term}},
    }


def fields(one: dict) -> dict:
    """All by which a product can be filtered."""
    return one["product"]["attributes"] | {"productFamily": one["product"]["productFamily"]}


def get_products(given: dict) -> dict:
    """GetProducts, by TERM_MATCH alone."""
    if given.get("ServiceCode") != "AmazonRDS":
        raise Refused("InvalidParameterException", f"there is no service {given.get('ServiceCode')}: the local price list has AmazonRDS")
    if given.get("FormatVersion", "aws_v1") != "aws_v1":
        raise Refused("InvalidParameterException", "FormatVersion is aws_v1")
    most = given.get("MaxResults", PAGE)
    if not isinstance(most, int) or not 1 <= most <= PAGE:
        raise Refused("InvalidParameterException", f"MaxResults is from 1 to {PAGE}")
    if more := set(given) - {"ServiceCode", "Filters", "FormatVersion", "NextToken", "MaxResults"}:
        raise Refused("InvalidParameterException", f"GetProducts has no {', '.join(sorted(more))}")
    found = [product(listed) for listed in LISTED]
    known = {name for one in found for name in fields(one)}
    for one in given.get("Filters", []):
        if set(one) != {"Type", "Field", "Value"} or one["Type"] not in FILTER_TYPES or not one["Value"]:
            raise Refused("InvalidParameterException", "a filter has Type, Field and Value")
        if one["Type"] != "TERM_MATCH" or one["Field"] not in known:
            raise Refused("InvalidParameterException", f"the local price list has no filter {one['Type']} of {one['Field']}")
        found = [candidate for candidate in found if fields(candidate).get(one["Field"]) == one["Value"]]
    token = given.get("NextToken", "0")
    if not re.fullmatch(r"\d{1,6}", token) or int(token) > len(found):
        raise Refused("InvalidNextTokenException", "NextToken is of no call before")
    end = int(token) + most
    page = {"FormatVersion": "aws_v1", "PriceList": [json.dumps(one) for one in found[int(token) : end]]}
    return page | ({"NextToken": str(end)} if end < len(found) else {})


def answer(target: str, is_root: bool, body: bytes) -> tuple[int, dict]:
    """The status and the content of a response of the price list."""
    try:
        if not is_root:
            raise Refused("AccessDeniedException", f"not authorized to perform: pricing:{target}")
        if target != "GetProducts":
            raise Refused("InvalidParameterException", f"the local price list has no {target}")
        return 200, get_products(json.loads(body))
    except Refused as refused:
        code, message = refused.args
        return 400, {"__type": code, "message": message}


def with_price_list(app, is_root):
    """Wraps the gateway: it is the price list too. `is_root` tells from the headers that the root user has signed."""

    async def priced(scope, receive, send):
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", [])}
        target = headers.get("x-amz-target", "")
        if scope["type"] != "http" or not target.startswith(TARGET):
            return await app(scope, receive, send)
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        status, content = answer(target.removeprefix(TARGET), is_root(headers), body)
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/x-amz-json-1.1")]})
        await send({"type": "http.response.body", "body": json.dumps(content).encode()})

    return priced


def install(is_root) -> None:
    gateway.app = with_price_list(gateway.app, is_root)
