"""Holds local/tools/ministack_metering.py to what AWS refuses, and to the form in which it answers.

Runs in the environment of local/tools/ministack.txt, and never leaves the machine.
"""

import http.server
import json
import threading
import time

import ministack_metering
import ministack_strict  # noqa: F401
import pytest
from ministack.services import cloudwatch
from ministack_metering import Refused, answer, get_products

NOW = int(time.time())
# As ministack has it: other tests install what measures around it.
READ = cloudwatch._get_metric_data


def term(field: str, value: str) -> dict:
    return {"Type": "TERM_MATCH", "Field": field, "Value": value}


def products(*filters, **more) -> dict:
    return get_products({"ServiceCode": "AmazonRDS", "Filters": list(filters)} | more)


def prices(page: dict) -> list:
    terms = [json.loads(text)["terms"]["OnDemand"] for text in page["PriceList"]]
    return [price["pricePerUnit"]["USD"] for one in terms for term in one.values() for price in term["priceDimensions"].values()]


def query(**more) -> dict:
    metric = {"Namespace": "AWS/RDS", "MetricName": "DatabaseConnections", "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": "orders-1"}]}
    return {"Id": "c0", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Maximum"} | more}


def metric_data(*queries, **more):
    """The status and the content of a response of GetMetricData in JSON."""
    given = {"MetricDataQueries": list(queries), "StartTime": NOW - 86_400, "EndTime": NOW + 60} | more
    status, _, body = ministack_metering.get_metric_data(READ, {}, given, False, True)
    return status, json.loads(body)


def test_an_instance_has_one_price_for_each_engine_class_and_kind_of_storage():
    found = products(term("databaseEngine", "Aurora PostgreSQL"), term("instanceType", "db.r6g.large"), term("storage", "EBS Only"))
    assert prices(found) == ["0.2600000000"]
    assert json.loads(found["PriceList"][0])["product"]["attributes"]["usagetype"] == "InstanceUsage:db.r6g.large"
    assert products(term("instanceType", "db.r6g.larg"))["PriceList"] == []


def test_a_list_is_read_in_pages():
    everything = prices(products())
    first = products(MaxResults=2)
    second = products(MaxResults=2, NextToken=first["NextToken"])
    assert prices(first) + prices(second) == everything[:4]
    assert "NextToken" not in products()


@pytest.mark.parametrize("given", [
    {"ServiceCode": "AmazonEC2"}, {"FormatVersion": "aws_v2"}, {"MaxResults": 101}, {"Region": "eu-west-1"}, {"NextToken": "x"},
    {"Filters": [term("regioncode", "eu-west-1")]}, {"Filters": [{"Field": "regionCode", "Value": "eu-west-1"}]},
])  # fmt: skip
def test_what_the_price_list_does_not_know_is_refused(given):
    with pytest.raises(Refused):
        get_products({"ServiceCode": "AmazonRDS"} | given)


def test_only_the_root_user_asks_for_prices_and_for_products_alone():
    assert answer("GetProducts", False, b"{}")[1]["__type"] == "AccessDeniedException"
    assert answer("DescribeServices", True, b"{}")[0] == 400
    assert answer("GetProducts", True, b'{"ServiceCode": "AmazonRDS"}')[0] == 200


@pytest.mark.parametrize("queries, more", [
    ([], {}), ([query()] * 2, {}), ([query() | {"Id": "C0"}], {}), ([query(Period=90)], {}), ([query(Stat="Most")], {}),
    ([{"Id": "c0"}], {}), ([query()], {"StartTime": NOW, "EndTime": NOW}), ([query()], {"StartTime": "yesterday"}), ([query()], {"ScanBy": "Newest"}),
])  # fmt: skip
def test_what_cloudwatch_refuses_is_refused(queries, more):
    status, content = metric_data(*queries, **more)
    assert (status, content["__type"]) == (400, "ValidationError")


def test_measurements_are_those_of_the_control_plane_and_the_newest_comes_first(monkeypatch):
    values = iter([3, 5])

    class ControlPlane(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            one = {"metric": "DatabaseConnections", "dimension": "DBInstanceIdentifier", "of": "orders-1", "value": next(values)}
            self.send_response(200 if self.path == "/_local/metrics" else 404)
            self.end_headers()
            self.wfile.write(json.dumps([one]).encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), ControlPlane) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_RDS", f"http://127.0.0.1:{server.server_port}")
        bucket = cloudwatch._metric_bucket(("AWS/RDS", "DatabaseConnections", "DBInstanceIdentifier=orders-1"))
        bucket.append({"Timestamp": NOW - 3_600, "Value": 7.0, "Unit": "None", "Dimensions": {}})
        status, content = metric_data(query())
        assert (status, content["MetricDataResults"][0]["Values"]) == (200, [3.0, 7.0])
        assert all(isinstance(at, (int, float)) for at in content["MetricDataResults"][0]["Timestamps"])
        # Of a period the largest counts.
        assert metric_data(query(Period=300), ScanBy="TimestampAscending")[1]["MetricDataResults"][0]["Values"][-1] == 5.0
        server.shutdown()
