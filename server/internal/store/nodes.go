package store

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// nodeGone is when a node that said nothing is held to be gone, in PostgreSQL's words. It says something every 5 s.
const nodeGone = `interval '20 seconds'`

// Node is a service that is there. Problem is why its relay takes no mail, "" when it does.
type Node struct {
	Name    string
	Problem string
}

// SayHere notes that a node is there, and forgets those that are long gone.
func (s *Store) SayHere(ctx context.Context, node, problem string) error {
	_, err := s.pool.Exec(ctx, `WITH gone AS (DELETE FROM postroom.nodes WHERE seen_at < now() - interval '1 day')
		INSERT INTO postroom.nodes (node, problem) VALUES ($1, $2)
		ON CONFLICT (node) DO UPDATE SET seen_at = now(), problem = excluded.problem`, node, problem)
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
	rows, err := s.pool.Query(ctx, `SELECT node, problem FROM postroom.nodes WHERE seen_at > now() - `+nodeGone+` ORDER BY node`)
	if err != nil {
		return nil, wrap("list the nodes", err)
	}
	nodes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Node])
	return nodes, wrap("list the nodes", err)
}
