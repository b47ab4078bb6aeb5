"""The table of routes: every call of the API, once."""

from __future__ import annotations

from chalicelib.api import parameters as p
from chalicelib.api.routing import Route

_DEVICE = "/v1/devices/{device_id}"
_ALERT = "/v1/alerts/{alert_id}"
_CONNECTION = "/v1/connections/{connection_id}"
_INTEGRATION = "/v1/integrations/{integration_id}"
_COMMAND = "/v1/commands/{command_id}"
_EXPORT = "/v1/exports/{export_id}"
_KEY = "/v1/api-keys/{key_id}"
_QUARANTINE = "/v1/quarantine/{quarantine_id}"

ROUTES: tuple[Route, ...] = (
    # --- devices and what they said
    Route(
        "GET", "/v1/devices", "read", "devices.list_devices", "List devices",
        query=(p.VENDOR, p.TAG, p.GROUP, p.PRESENCE, p.SEARCH, p.PARENT, *p.PAGED),
        returns="records.Device", listed=True,
    ),
    Route("GET", _DEVICE, "read", "devices.read", "Read a device", returns="records.Device"),
    Route(
        "PATCH", _DEVICE, "write", "devices.change", "Change what operators say of a device",
        body="DevicePatch", returns="records.Device",
    ),
    Route(
        "GET", f"{_DEVICE}/state", "read", "devices.state", "Read the latest of every metric",
        returns="records.State",
    ),
    Route(
        "GET", f"{_DEVICE}/measurements", "read", "measurements.in_range",
        "List measurements of a device",
        query=(p.METRIC, p.FROM.needed(), p.TO.needed(), p.ORDER, *p.PAGED),
        returns="records.Measurement", listed=True,
    ),
    Route(
        "GET", f"{_DEVICE}/measurements/aggregate", "read", "aggregates.aggregate",
        "Sum up measurements of a device by buckets of time; a million buckets at most",
        query=(
            p.METRIC, p.FROM.needed(), p.TO.needed(), p.FRAME.needed(), p.FUNCTIONS, p.TIMEZONE,
            p.FILL, p.ORDER, *p.PAGED,
        ),
        returns="aggregates.Aggregate",
    ),
    Route(
        "GET", "/v1/measurements/latest", "read", "measurements.latest",
        "Read the latest measurements of several devices",
        query=(p.DEVICE.needed(), p.METRIC), returns="records.Latest",
    ),
    Route(
        "GET", f"{_DEVICE}/events", "read", "events.of_device", "List events of a device",
        query=(p.TYPE, *p.RANGE, *p.PAGED), returns="records.Event", listed=True,
    ),
    Route(
        "GET", "/v1/events", "read", "events.of_tenant", "List events of all devices",
        query=(p.TYPE, p.VENDOR, *p.RANGE, *p.PAGED), returns="records.Event", listed=True,
    ),
    Route(
        "GET", f"{_DEVICE}/media", "read", "events.media_of_device", "List media of a device",
        query=(*p.RANGE, *p.PAGED), returns="records.Media", listed=True,
    ),
    # --- exports
    Route(
        "POST", "/v1/exports", "admin", "exports.begin", "Write measurements into a file",
        body="ExportBody", status=202, returns="administration.Export",
        creates="exp",
    ),
    Route(
        "GET", "/v1/exports", "admin", "exports.list_exports", "List exports",
        query=p.PAGED, returns="administration.Export", listed=True,
    ),
    Route(
        "GET", _EXPORT, "admin", "exports.read",
        "Follow an export; once it is done, with a link to its file",
        returns="administration.Export",
    ),
    Route(
        "DELETE", _EXPORT, "admin", "exports.delete", "End an export and remove its file",
        status=204,
    ),
    # --- alerts
    Route(
        "GET", "/v1/alerts", "read", "alerts.list_alerts", "List alerts",
        query=(
            p.STATE, p.SEVERITY, p.VENDOR, p.DEVICE, p.ACKNOWLEDGED, *p.RANGE, *p.PAGED,
        ),
        returns="records.Alert", listed=True,
    ),
    Route("GET", _ALERT, "read", "alerts.read", "Read an alert", returns="records.Alert"),
    Route(
        "POST", f"{_ALERT}/acknowledge", "write", "alerts.acknowledge", "Acknowledge an alert",
        body="Note", body_optional=True, returns="records.Alert", conflicts=True,
    ),
    Route(
        "POST", f"{_ALERT}/clear", "write", "alerts.clear", "Clear an alert",
        body="Note", body_optional=True, returns="records.Alert",
    ),
    # --- commands
    Route(
        "POST", f"{_DEVICE}/commands", "write", "commands.order", "Send a command to a device",
        body="CommandBody", status=202, returns="records.Command", conflicts=True,
        creates="cmd",
    ),
    Route(
        "GET", f"{_DEVICE}/commands", "read", "commands.of_device", "List commands of a device",
        query=p.PAGED, returns="records.Command", listed=True,
    ),
    Route("GET", _COMMAND, "read", "commands.read", "Read a command", returns="records.Command"),
    Route(
        "POST", f"{_COMMAND}/cancel", "write", "commands.cancel",
        "Cancel a command that was not sent yet",
        body="Nothing", body_optional=True, returns="records.Command", conflicts=True,
    ),
    # --- connections
    Route(
        "POST", "/v1/connections", "admin", "connections.create", "Create a connection",
        body="ConnectionBody", status=201, returns="administration.ConnectionWithSecret",
        creates="con", once="secret",
    ),
    Route(
        "GET", "/v1/connections", "admin", "connections.list_connections", "List connections",
        query=p.PAGED, returns="administration.Connection", listed=True,
    ),
    Route(
        "GET", _CONNECTION, "admin", "connections.read", "Read a connection",
        returns="administration.Connection",
    ),
    Route(
        "PATCH", _CONNECTION, "admin", "connections.change", "Change a connection",
        body="ConnectionPatch", returns="administration.Connection",
    ),
    Route(
        "DELETE", _CONNECTION, "admin", "connections.delete", "Delete a connection", status=204
    ),
    Route(
        "POST", f"{_CONNECTION}/rotate-secret", "admin", "connections.rotate",
        "Replace a connection's secret",
        body="Rotation", body_optional=True, returns="administration.Secret",
        once="secret",
    ),
    Route(
        "POST", f"{_CONNECTION}/renormalize", "admin", "renormalizations.begin",
        "Put archived payloads through today's adapter",
        body="Renormalize", status=202, returns="administration.Accepted", conflicts=True,
    ),
    Route(
        "GET", f"{_CONNECTION}/renormalize", "admin", "renormalizations.list_renormalizations",
        "List a connection's renormalizations",
        query=p.PAGED, returns="administration.Renormalization", listed=True,
    ),
    Route(
        "GET", f"{_CONNECTION}/renormalize/{{renormalization_id}}", "admin",
        "renormalizations.read", "Follow a renormalization",
        returns="administration.Renormalization",
    ),
    Route(
        "POST", f"{_CONNECTION}/sync", "admin", "syncs.begin",
        "Fetch the vendor's inventory and what was missed",
        body="Nothing", body_optional=True, status=202, returns="administration.Accepted",
        conflicts=True,
    ),
    Route(
        "GET", f"{_CONNECTION}/sync", "admin", "syncs.list_syncs", "List a connection's syncs",
        query=p.PAGED, returns="administration.Sync", listed=True,
    ),
    Route(
        "GET", f"{_CONNECTION}/sync/{{sync_id}}", "admin", "syncs.read", "Follow a sync",
        returns="administration.Sync",
    ),
    Route(
        "GET", f"{_CONNECTION}/health", "read", "health.read",
        "Read how a connection does: counts, delays, fields and their drift",
        returns="administration.ConnectionHealth",
    ),
    # --- integrations and their deliveries
    Route(
        "POST", "/v1/integrations", "admin", "integrations.create", "Create an integration",
        body="IntegrationBody", status=201, returns="administration.IntegrationWithSecret",
        creates="int", once="secret",
    ),
    Route(
        "GET", "/v1/integrations", "admin", "integrations.list_integrations",
        "List integrations", query=p.PAGED, returns="administration.Integration", listed=True,
    ),
    Route(
        "GET", _INTEGRATION, "admin", "integrations.read", "Read an integration",
        returns="administration.Integration",
    ),
    Route(
        "PATCH", _INTEGRATION, "admin", "integrations.change", "Change an integration",
        body="IntegrationPatch", returns="administration.IntegrationChanged",
    ),
    Route(
        "DELETE", _INTEGRATION, "admin", "integrations.delete", "Delete an integration",
        status=204,
    ),
    Route(
        "POST", f"{_INTEGRATION}/rotate-secret", "admin", "integrations.rotate",
        "Replace an integration's signing secret",
        body="OverlappingRotation", body_optional=True, returns="administration.Secret",
        once="secret",
    ),
    Route(
        "POST", f"{_INTEGRATION}/enable", "admin", "integrations.enable",
        "Enable an integration", body="Nothing", body_optional=True, returns="administration.Integration",
    ),
    Route(
        "POST", f"{_INTEGRATION}/test", "admin", "integrations.test",
        "Deliver a test event", body="Nothing", body_optional=True, status=202,
        returns="administration.Accepted",
    ),
    Route(
        "GET", f"{_INTEGRATION}/deliveries", "admin", "deliveries.of_integration",
        "List deliveries that are pending or failed at least once",
        query=(p.DELIVERY_STATE, *p.RANGE, *p.PAGED), returns="records.Delivery", listed=True,
    ),
    Route(
        "POST", f"{_INTEGRATION}/replay", "admin", "recovery.replay",
        "Deliver stored records again, or count them (`preview`)",
        body="Replay", status=202, returns="administration.Accepted", conflicts=True,
        otherwise=(200, "administration.ReplayPreview"),
        creates="job",
    ),
    Route(
        "POST", f"{_INTEGRATION}/retry-failed", "admin", "recovery.retry_failed",
        "Attempt every delivery again that failed since a moment",
        body="Since", status=202, returns="administration.Accepted",
        creates="job",
    ),
    Route(
        "POST", f"{_INTEGRATION}/redrive", "admin", "recovery.redrive",
        "Attempt every dead delivery again and empty the dead letters",
        body="Nothing", body_optional=True, status=202, returns="administration.Accepted",
        creates="job",
    ),
    Route(
        "GET", f"{_INTEGRATION}/replays", "admin", "recovery.list_recoveries",
        "List replays, retries and redrives", query=p.PAGED,
        returns="administration.Recovery", listed=True,
    ),
    Route(
        "GET", f"{_INTEGRATION}/replays/{{job_id}}", "admin", "recovery.read",
        "Read how far a replay, retry or redrive is", returns="administration.Recovery",
    ),
    Route(
        "POST", f"{_INTEGRATION}/filter-test", "admin", "recovery.filter_test",
        "Show which records of the last hour a filter matches",
        body="FilterTest", body_optional=True, returns="administration.FilterTested",
    ),
    Route(
        "GET", "/v1/deliveries/{delivery_id}", "read", "deliveries.read", "Read a delivery",
        returns="records.Delivery",
    ),
    Route(
        "POST", "/v1/deliveries/{delivery_id}/retry", "admin", "deliveries.retry",
        "Attempt a delivery again now", body="Nothing", body_optional=True, status=202,
        returns="administration.Accepted",
    ),
    # --- traces
    Route(
        "GET", "/v1/receipts/{receipt_id}", "read", "traces.receipt",
        "Read a payload, its records and their deliveries", returns="records.Receipt",
    ),
    Route(
        "GET", "/v1/quarantine", "read", "traces.list_quarantine", "List quarantined items",
        query=(p.RECEIPT, p.CONNECTION, *p.RANGE, *p.PAGED), returns="records.Quarantined", listed=True,
    ),
    Route(
        "GET", _QUARANTINE, "read", "traces.quarantined", "Read a quarantined item",
        returns="records.Quarantined",
    ),
    Route(
        "POST", f"{_QUARANTINE}/redrive", "write", "traces.redrive",
        "Put a quarantined item through again", body="Nothing", body_optional=True, status=202,
        returns="administration.Accepted", conflicts=True,
    ),
    # --- access
    Route(
        "POST", "/v1/tenants", "root", "keys.create_tenant", "Create a tenant",
        body="TenantBody", status=201, returns="administration.TenantCreated",
        creates="ten", once="api_key",
    ),
    Route(
        "POST", "/v1/api-keys", "admin", "keys.create", "Create an API key",
        body="KeyBody", status=201, returns="administration.KeyWithSecret",
        creates="key", once="key",
    ),
    Route(
        "GET", "/v1/api-keys", "admin", "keys.list_keys", "List API keys",
        query=p.PAGED, returns="administration.ApiKey", listed=True,
    ),
    Route("DELETE", _KEY, "admin", "keys.delete", "Revoke an API key", status=204),
    Route(
        "POST", f"{_KEY}/rotate", "admin", "keys.rotate", "Replace an API key",
        body="Rotation", body_optional=True, returns="administration.KeyWithSecret",
        once="key",
    ),
    Route(
        "GET", "/v1/audit", "admin", "audit.list_entries", "List who changed what through the API",
        query=(*p.RANGE, *p.PAGED), returns="administration.AuditEntry", listed=True,
    ),
    # --- catalogue
    Route(
        "GET", "/v1/catalog/vendors", "read", "catalog.vendors", "List vendors",
        returns="administration.CatalogVendor", listed=True,
    ),
    Route(
        "GET", "/v1/catalog/metrics", "read", "catalog.metrics", "List the metric vocabulary",
        returns="administration.CatalogMetric", listed=True,
    ),
    Route(
        "GET", "/v1/catalog/destinations", "read", "catalog.destinations",
        "List kinds of destination", returns="administration.CatalogDestination", listed=True,
    ),
    Route(
        "GET", "/v1/catalog/event-types", "read", "catalog.event_types",
        "List CloudEvents types", returns="administration.CatalogEventType", listed=True,
    ),
    Route(
        "GET", "/problems", None, "catalog.problems", "List kinds of problem",
        returns="administration.CatalogProblem", listed=True,
    ),
    Route(
        "GET", "/problems/{problem}", None, "catalog.problem", "Explain a kind of problem",
        returns="administration.CatalogProblem",
    ),
    Route(
        "GET", "/v1/health", None, "catalog.health", "Say that the API answers",
        returns="administration.Health",
    ),
    Route(
        "GET", "/v1/openapi.json", None, "catalog.openapi", "This document",
        returns="administration.Document",
    ),
    # --- the same in the words of OGC SensorThings
    *(
        Route(
            "GET", template, "read", "sensorthings.read", "Read in the words of OGC SensorThings",
            own_query=True, basic=True, documented=False,
        )
        for template in ("/sta/v1.1", "/sta/v1.1/{path+}")
    ),
)  # fmt: skip
