"""The engine in this process, without a server around it, beside what the machine can do at most."""

from antiphon.telemetry.optout import block_vendor_telemetry

block_vendor_telemetry()  # before any module here imports openvino
