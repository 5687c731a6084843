package core

// Which connection mail goes by.
const (
	OpSteer    = "steer"
	OpConclude = "conclude"
)

// States of a connection.
const (
	HealthOK      = "ok"
	HealthPaused  = "paused"
	HealthFailing = "failing"
)

// Health is how a connection does, over all nodes: the core's to make and read, the service's to keep. Times are in
// milliseconds since the epoch.
type Health struct {
	State    string   `json:"state"`
	Since    *int64   `json:"since"`
	Cause    *string  `json:"cause"`
	Reason   string   `json:"reason"`
	Failures int      `json:"failures"`
	PutOff   []string `json:"put_off"`
	Rounds   int      `json:"rounds"`
	ProbeAt  *int64   `json:"probe_at"`
}

// SteerArgs are the connections that the settings would have used, the preferred first.
type SteerArgs struct {
	Connections []Candidate `json:"connections"`
}

// Candidate is one of them; Health is nil where nothing is known of it.
type Candidate struct {
	Name   string  `json:"name"`
	Server string  `json:"server"` // host:port
	Health *Health `json:"health"`
}

// SteerResult says by which of them a mail may go now, in what order; by none until WaitUntil. Well: what waited for a
// connection may go. Probe are those to be asked whether they do again. Open and Close are the incidents that there are
// and those that there are not.
type SteerResult struct {
	Use       []string   `json:"use"`
	Well      bool       `json:"well"`
	Probe     []string   `json:"probe"`
	WaitUntil *int64     `json:"wait_until"`
	Reason    string     `json:"reason"`
	Open      []Incident `json:"open"`
	Close     []Incident `json:"close"`
}

// ConcludeArgs is how a conversation ended: Outcome is nil for a probe that came through, Mail for a probe.
type ConcludeArgs struct {
	Health  *Health  `json:"health"`
	Outcome *Outcome `json:"outcome"`
	Mail    *string  `json:"mail"`
}

// ConcludeResult is what it comes to. Elsewhere: the mail may go by the next connection at once. Unspent: where it can't,
// it waits, and this was no attempt. Hurry: it need not wait longer than until the connection is well.
type ConcludeResult struct {
	Health    Health `json:"health"`
	Elsewhere bool   `json:"elsewhere"`
	Unspent   bool   `json:"unspent"`
	Hurry     bool   `json:"hurry"`
}

// Incident is the matter with a connection, in alert's words; Facts are empty where it is none any more.
type Incident struct {
	Kind  string            `json:"kind"`
	Key   string            `json:"key"`
	Facts map[string]string `json:"facts"`
}
