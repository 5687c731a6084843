package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// nodeGone is when a node that said nothing is held to be gone, in PostgreSQL's words. It says something every 5 s.
const nodeGone = `interval '20 seconds'`

// Node is a service that is there. Problem is why its relay takes no mail, "" when it does; Relay is Relay.Mark of what
// it was made from.
type Node struct {
	Name    string
	Problem string
	Relay   string
	Pointed bool // its Mattermost's mail goes to the relay
}

// SayHere notes that a node is there, and forgets those that are long gone. attached: its plugin runs.
func (s *Store) SayHere(ctx context.Context, node Node, attached bool) error {
	_, err := s.pool.Exec(ctx, `WITH gone AS (DELETE FROM postroom.nodes WHERE seen_at < now() - interval '1 day')
		INSERT INTO postroom.nodes (node, problem, relay, pointed) VALUES ($1, $2, $3, $4)
		ON CONFLICT (node) DO UPDATE SET seen_at = now(), problem = excluded.problem, relay = excluded.relay,
			pointed = excluded.pointed, alone_since = CASE WHEN $5 THEN NULL ELSE nodes.alone_since END`,
		node.Name, node.Problem, node.Relay, node.Pointed, attached)
	return wrap("note that this node is there", err)
}

// SayGone takes a node off the list, at its orderly end.
func (s *Store) SayGone(ctx context.Context, node string) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM postroom.nodes WHERE node = $1`, node)
	return wrap("note that this node is gone", err)
}

// CountNodes is how many there are, one at least.
func (s *Store) CountNodes(ctx context.Context) (int, error) {
	var nodes int
	err := s.pool.QueryRow(ctx, `SELECT greatest(count(*), 1) FROM postroom.nodes WHERE seen_at > now() - `+nodeGone).Scan(&nodes)
	return nodes, wrap("count the nodes", err)
}

// Nodes are those that are there.
func (s *Store) Nodes(ctx context.Context) ([]Node, error) {
	rows, err := s.pool.Query(ctx, `SELECT node, problem, relay, pointed FROM postroom.nodes WHERE seen_at > now() - `+nodeGone+` ORDER BY node`)
	if err != nil {
		return nil, wrap("list the nodes", err)
	}
	nodes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Node])
	return nodes, wrap("list the nodes", err)
}

// aloneLock is the advisory lock under which nodes begin to be alone ("alone" in ASCII).
const aloneLock int64 = 0x616c6f6e65

// BeginAlone notes that a node's plugin has been gone since then, and is whether it is the first: while any node is
// alone, and until all have their plugin again, it is one incident, and told once.
func BeginAlone(ctx context.Context, tx pgx.Tx, node string, since time.Time) (bool, error) {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, aloneLock); err != nil {
		return false, wrap("wait for the other nodes", err)
	}
	first := false
	err := tx.QueryRow(ctx, `WITH before AS (SELECT count(*) AS alone FROM postroom.nodes
			WHERE alone_since IS NOT NULL AND seen_at > now() - `+nodeGone+`),
		noted AS (INSERT INTO postroom.nodes (node, alone_since) VALUES ($1, $2)
			ON CONFLICT (node) DO UPDATE SET seen_at = now(), alone_since = excluded.alone_since)
		SELECT alone = 0 FROM before`, node, since).Scan(&first)
	return first, wrap("note that this node is alone", err)
}
