"""One request answered: where its path leads, what its options ask for, and the links that go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any
from urllib.parse import quote

from chalicelib.api import cursors
from chalicelib.api.http import TEXT, Response
from chalicelib.api.problems import ProblemError, not_found
from chalicelib.api.sta import entities, filters
from chalicelib.api.sta.addresses import Segment, unknown
from chalicelib.api.sta.entities import KINDS, SETS, TIMES, Node
from chalicelib.api.sta.queries import Query, refused
from chalicelib.api.sta.reader import Budget, Collection, Reader, Window

SORTED = 1000
"""Entities that are sorted, where they are not read in order."""
_REF = "$ref"
_VALUE = "$value"
_REQ = "http://www.opengis.net/spec/iot_sensing/1.1/req"
_RELATED = ("thing", "location", "datastream", "sensor", "observed-property", "observation")
CONFORMANCE = (
    *(f"{_REQ}/datamodel/{each}/properties" for each in (*_RELATED, "feature-of-interest")),
    *(f"{_REQ}/datamodel/{each}/relations" for each in _RELATED),
    f"{_REQ}/datamodel/entity-control-information/common-control-information",
    *(
        f"{_REQ}/request-data/{each}"
        for each in ("order", "expand", "select", "status-code", "query-status-code")
    ),
    *(f"{_REQ}/request-data/{each}" for each in ("orderby", "top", "skip", "pagination")),
)
"""Requirements of the standard that are kept whole; docs/sensorthings.md says what is missing of others."""


@dataclass(frozen=True, slots=True)
class Service:
    """Answers one request.  ``root`` is the view's URL, ``hub`` the hub's; ``secret`` seals places."""

    reader: Reader
    root: str
    hub: str
    secret: bytes
    budget: Budget = field(default_factory=Budget)
    counting: Budget = field(default_factory=Budget)

    def answer(self, path: list[Segment], query: Query) -> Response:
        """Return the answer for a path and the options behind it."""
        if not path:
            self._only_shape(query, ())
            return Response(200, self._index())
        found = self._start(path[0])
        for number, segment in enumerate(path[1:], start=1):
            rest = path[number:]
            if rest == [Segment(_REF)]:
                return Response(200, self._references(found, query))
            if isinstance(found, Collection):
                raise unknown()
            if segment.name not in KINDS[found.kind].relations:
                return self._property(found, rest, query)
            found = self._follow(found, segment)
        if isinstance(found, Collection):
            return Response(200, self._page(found, query))
        self._only_shape(query, ("$select", "$expand"))
        return Response(200, self._shown(found, query))

    # --- where the path leads

    def _index(self) -> dict[str, Any]:
        sets = [{"name": name, "url": f"{self.root}/{name}"} for name in sorted(SETS)]
        return {"value": sets, "serverSettings": {"conformance": list(CONFORMANCE)}}

    def _start(self, segment: Segment) -> Node | Collection:
        kind = SETS.get(segment.name)
        if kind is None:
            raise unknown()
        if segment.key is None:
            return self.reader.collection(kind)
        return self._found(kind, segment.key)

    def _found(self, kind: str, identity: str) -> Node:
        found = self.reader.find(kind, identity)
        if found is None:
            raise not_found(kind)
        return found

    def _follow(self, node: Node, segment: Segment) -> Node | Collection:
        kind, many = KINDS[node.kind].relations[segment.name]
        if not many:
            if segment.key is not None:
                raise unknown()
            return node.other(kind)
        if segment.key is None:
            return self.reader.related(node, kind, f"{self._address(node)}/{segment.name}")
        found = self._found(kind, segment.key)
        whole = Node(node.kind, found.device, found.metric, found.discriminator)
        if entities.identity(node) != entities.identity(whole):
            raise not_found(kind)
        return found

    def _property(self, node: Node, rest: list[Segment], query: Query) -> Response:
        """Return ``{name: value}``, or with ``$value`` the bare text."""
        self._only_shape(query, ())
        bare = rest[-1] == Segment(_VALUE)
        names = [segment.name for segment in rest[: -1 if bare else None]]
        if not names or any(segment.key is not None for segment in rest):
            raise unknown()
        value: Any = {**self._control(node), **entities.properties(node, self.hub)}
        for name in names:
            if not isinstance(value, Mapping) or name not in value:
                raise not_found("property")
            value = value[name]
        if not bare:
            return Response(200, {names[-1]: value})
        if value is None:
            return Response(204)
        if isinstance(value, bool | Mapping | list):
            return Response(200, value)
        return Response(200, str(value), content_type=TEXT)

    def _only_shape(self, query: Query, taken: tuple[str, ...]) -> None:
        for name in query.texts:
            if name not in taken:
                takes = ", ".join(taken) or "none"
                detail = f"{name} is for collections; this path takes: {takes}."
                raise ProblemError("unknown-parameter", detail)

    # --- what it shows

    def _address(self, node: Node) -> str:
        return str(Segment(KINDS[node.kind].plural, entities.identity(node)))

    def _control(self, node: Node) -> dict[str, Any]:
        link = f"{self.root}/{self._address(node)}"
        return {"@iot.id": entities.identity(node), "@iot.selfLink": link}

    def _shown(self, node: Node, query: Query) -> dict[str, Any]:
        """Return an entity with what is selected and expanded of it."""
        kind = KINDS[node.kind]
        control = self._control(node)
        own = entities.properties(node, self.hub)
        links = {name: f"{control['@iot.selfLink']}/{name}" for name in kind.relations}
        if query.select:
            shown = self._selected(node, query.select, {**control, **own}, links)
        else:
            unexpanded = {name: links[name] for name in links if name not in query.expand}
            shown = {**control, **own, **_navigation(unexpanded)}
        for name, inner in query.expand.items():
            if name not in kind.relations:
                raise refused(_no_relation(node.kind, name))
            target, many = kind.relations[name]
            if not many:
                self._only_nested(inner)
                shown[name] = self._shown(node.other(target), inner)
                continue
            path = f"{self._address(node)}/{name}"
            page = self._page(self.reader.related(node, target, path), inner)
            shown[name] = page.pop("value")
            shown |= {f"{name}{member}": value for member, value in page.items()}
        return shown

    def _selected(
        self, node: Node, names: tuple[str, ...], all_: dict[str, Any], links: dict[str, str]
    ) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for name in names:
            head = _CONTROL.get(name, name.split("/")[0])
            if head in links:
                shown |= _navigation({head: links[head]})
            elif head in all_:
                shown[head] = all_[head]
            elif head not in KINDS[node.kind].properties:
                raise refused(f"$select: a {node.kind} has no {name[:100]!r}.")
        return shown

    def _only_nested(self, query: Query) -> None:
        self._only_shape(query, ("$select", "$expand"))

    def _references(self, found: Node | Collection, query: Query) -> Any:
        if isinstance(found, Collection):
            return self._page(found, replace(query, select=("@iot.selfLink",), expand={}), _REF)
        self._only_shape(query, ())
        return {"@iot.selfLink": self._control(found)["@iot.selfLink"]}

    # --- pages

    def _page(self, collection: Collection, query: Query, tail: str = "") -> dict[str, Any]:
        """Return a page of a collection: ``value``, and where due ``@iot.count`` and ``@iot.nextLink``."""
        query = self._checked(collection.kind, query)
        collection = self._narrowed(collection, query)
        ordered = not query.order or collection.kind == "Observation"
        if ordered:
            found, rest = self._walked(collection, query)
        else:
            found, rest = self._sorted(collection, query)
        page: dict[str, Any] = {}
        if query.count:
            whole = rest is None and query.token is None and query.top > 0 and found
            count = query.skip + len(found) if whole else self._counted(collection, query)
            if count is not None:
                page["@iot.count"] = count
        page["value"] = found
        if rest is not None:
            address = f"{self.root}/{collection.path}{f'/{tail}' if tail else ''}"
            texts = {n: t for n, t in query.texts.items() if n not in {"$skip", "$skiptoken"}}
            options = [
                f"{name}={quote(text, safe=_PLAIN)}" for name, text in (texts | rest).items()
            ]
            page["@iot.nextLink"] = f"{address}?{'&'.join(options)}"
        return page

    def _checked(self, kind: str, query: Query) -> Query:
        """Return a query whose names all exist; what is expanded and selected is checked when shown, too."""
        for name in query.expand:
            if name not in KINDS[kind].relations:
                raise refused(_no_relation(kind, name))
        for name in query.select:
            head = _CONTROL.get(name, name.split("/")[0])
            known = (*KINDS[kind].properties, *KINDS[kind].relations, *_CONTROL.values())
            if head not in known:
                raise refused(
                    f"$select: a {kind} has no {name[:100]!r}; it has {', '.join(known)}."
                )
        for order in query.order:
            entities.is_time(kind, order.path)
        if query.order and kind == "Observation" and query.order[0].path not in _TIMELIKE:
            raise refused(
                "$orderby: Observations are read in order of phenomenonTime, resultTime or @iot.id; "
                "anything else would mean to read and sort them all."
            )
        if query.filter is None:
            return query
        checked = filters.bound(query.filter, lambda path: entities.is_time(kind, path))
        return replace(query, filter=checked)

    def _narrowed(self, collection: Collection, query: Query) -> Collection:
        """Return the same collection, read through what its filter names where that is less to read."""
        kind, path = collection.kind, collection.path
        if path != KINDS[kind].plural or kind == "HistoricalLocation":
            return collection
        for name in ("@iot.id", "id"):
            identity = filters.named(query.filter, (name,))
            if identity is not None:
                return self.reader.only(kind, path, identity)
            thing = filters.named(query.filter, ("Thing", name)) if kind == "Datastream" else None
            device = self.reader.find("Thing", thing) if thing is not None else None
            if device is not None:
                return self.reader.related(device, kind, path)
        return collection

    def _walked(
        self, collection: Collection, query: Query
    ) -> tuple[list[Any], dict[str, str] | None]:
        """Return entities in the order of reading, and the options by which the next page begins."""
        last = self._place(collection, query)
        skip, found = query.skip, list[Any]()
        if query.top == 0:
            return found, None
        for node, place in collection.walk(_window(query, last), self.budget):
            self.budget.spend(1)
            if node is not None and self._matches(node, query):
                if skip > 0:
                    skip -= 1
                elif len(found) == query.top:
                    return found, self._behind(collection, query, last, skip)
                else:
                    found.append(self._shown(node, query))
                    self.budget.show()
            last = place
            if self.budget.over:
                return found, self._behind(collection, query, last, skip)
        return found, None

    def _sorted(
        self, collection: Collection, query: Query
    ) -> tuple[list[Any], dict[str, str] | None]:
        """Return entities in the order asked for: a bounded number is sorted, more are refused."""
        matching: list[Node] = []
        for node, _ in collection.walk(_window(query, None), self.budget):
            self.budget.spend(1)
            if node is not None and self._matches(node, query):
                matching.append(node)
            if len(matching) > SORTED or self.budget.over:
                detail = f"$orderby sorts at most {SORTED} entities: narrow them by $filter."
                raise refused(detail)
        for path, descending in reversed(query.order):
            matching.sort(
                key=lambda node: filters.ranked(entities.value_of(node, path)),
                reverse=descending,
            )
        end = query.skip + query.top
        found = [self._shown(node, query) for node in islice(matching, query.skip, end)]
        more = query.top > 0 and end < len(matching)
        return found, {"$skip": str(end)} if more else None

    def _counted(self, collection: Collection, query: Query) -> int | None:
        """Return how many entities match, or ``None`` where that takes too much reading."""
        number = 0
        for node, _ in collection.walk(_window(query, None), self.counting):
            self.counting.spend(1)
            number += node is not None and self._matches(node, query)
            if self.counting.over:
                return None
        return number

    def _matches(self, node: Node, query: Query) -> bool:
        return filters.holds(query.filter, lambda path: entities.value_of(node, path))

    def _place(self, collection: Collection, query: Query) -> Any:
        if query.token is None:
            return None
        return cursors.unseal(self.secret, self._scope(collection, query), query.token)

    def _behind(
        self, collection: Collection, query: Query, place: Any, skip: int
    ) -> dict[str, str]:
        token = cursors.seal(self.secret, self._scope(collection, query), place)
        return {"$skiptoken": token} | ({"$skip": str(skip)} if skip else {})

    def _scope(self, collection: Collection, query: Query) -> list[Any]:
        asked = [query.texts.get(name) for name in ("$filter", "$orderby")]
        return [self.reader.tenant, "sta", collection.path, asked]


def _window(query: Query, after: Any) -> Window:
    descending = bool(query.order and query.order[0].descending)
    return Window(after, filters.span(query.filter, TIMES), descending)


_CONTROL = {"id": "@iot.id", "@iot.id": "@iot.id", "@iot.selfLink": "@iot.selfLink"}
_TIMELIKE = {*TIMES, ("id",), ("@iot.id",)}
_PLAIN = "$'(),;:=/@!~"


def _navigation(links: Mapping[str, str]) -> dict[str, str]:
    return {f"{name}@iot.navigationLink": link for name, link in links.items()}


def _no_relation(kind: str, name: str) -> str:
    known = ", ".join(KINDS[kind].relations) or "none"
    return f"$expand: a {kind} does not lead to {name[:100]!r}, but to: {known}."
