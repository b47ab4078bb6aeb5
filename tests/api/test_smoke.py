def test_it(tenant):
    t0 = tenant.clock.now
    for i in range(10):
        tenant.measured("d1", t0 - i*1000, 20+i)
    print(tenant.get("/v1/devices"))
    print(tenant.get(tenant.device("relayr:d1")+"/state"))
    print(tenant.all(tenant.device("relayr:d1")+"/measurements", from_="2026-01-01T00:00:00Z", to="2027-01-01T00:00:00Z", limit=3))
    print(tenant.post("/v1/integrations", {"name":"x","kind":"webhook","config":{"url":"https://example.com/x"},"filter":{}}))
