package main

import (
	"fmt"
	"path/filepath"
	"time"

	"postroom/e2e/harness"
)

const (
	database = "mattermost"
	working  = "working" // what the plugin's status says of itself when it takes and sends mail
)

// bench is one run. What belongs to the server is there once set is called.
type bench struct {
	options
	stage  *harness.Stage
	report *report

	postgres *harness.Postgres
	node     *harness.Node
	admin    *harness.Client
	sink     *sink
	next     int // the next account that nobody has asked about
}

// set brings up PostgreSQL, Mattermost and the sink, once, with the bundle uploaded but not enabled.
func (b *bench) set() error {
	if b.node != nil {
		return nil
	}
	var err error
	if b.postgres, err = b.stage.StartPostgres(); err != nil {
		return err
	}
	url, err := b.postgres.Database(database)
	if err != nil {
		return err
	}
	if b.node, err = b.stage.StartNode(harness.NodeConfig{DataSource: url, Env: map[string]string{
		// As a server in production logs; DEBUG, the harness's own, would be measured too.
		"MM_LOGSETTINGS_FILELEVEL": "INFO",
		// Mattermost's pool, as its documentation's small server has it.
		"MM_SQLSETTINGS_MAXOPENCONNS": "100",
	}}); err != nil {
		return err
	}
	if b.admin, err = b.node.Client.Setup(); err != nil {
		return err
	}
	if b.sink, err = startSink(); err != nil {
		return err
	}
	b.stage.OnClose(b.sink.down)
	if err := b.admin.UseSMTP(b.sink.port); err != nil {
		return err
	}
	// The limits would stop the load; they are measured by e2e, not here.
	if err := b.admin.Settings(map[string]any{"limitaccountperhour": 0, "limitclientperminute": 0, "limittotalperminute": 0}); err != nil {
		return err
	}
	return b.admin.Upload(b.bundle)
}

// enabled is set with the plugin running.
func (b *bench) enabled() error {
	if err := b.set(); err != nil {
		return err
	}
	if status, err := b.admin.Status(); err == nil && status.State == working {
		return nil
	}
	return b.admin.Enable()
}

// accounts makes ordinary accounts by SQL, copies of the admin's row: "bench<number>@example.com".
func (b *bench) accounts(from, to int) error {
	return b.postgres.Exec(database, `
		INSERT INTO users
		SELECT made.* FROM users u, generate_series($1::int, $2::int) i,
			jsonb_populate_record(u, jsonb_build_object(
				'id', 'bench' || lpad(i::text, 21, '0'), 'username', 'bench' || i, 'email', 'bench' || i || '@example.com',
				'roles', 'system_user')) made
		WHERE u.username = 'admin'`, from, to)
}

func address(account int) string { return fmt.Sprintf("bench%d@example.com", account) }

// idle waits until the outbox has nothing to do, so that one measurement does not run into the next.
func (b *bench) idle(limit time.Duration) error {
	return harness.Eventually(limit, func() error {
		waiting, err := b.waiting()
		if err == nil && waiting > 0 {
			err = fmt.Errorf("%d jobs are waiting", waiting)
		}
		return err
	})
}

// waiting counts River's jobs that are not finished.
func (b *bench) waiting() (int, error) {
	rows, err := b.postgres.Rows(database, `SELECT count(*) FROM postroom.river_job WHERE finalized_at IS NULL`)
	if err != nil {
		return 0, err
	}
	var n int
	_, err = fmt.Sscan(rows[0], &n)
	return n, err
}

// home is where the plugin's processes keep their caches: Mattermost's HOME, in the harness.
func (b *bench) cacheDir() string { return filepath.Join(b.node.Dir, ".cache", "postroom") }
