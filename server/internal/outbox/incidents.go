package outbox

import "context"

// Incidents are told to the system admins, once when they open and once when they are over. What is opened may be open
// already, and what is closed need not be there. Kinds and facts are core's; the key is the connection's name.
type Incidents interface {
	Open(ctx context.Context, kind, key string, facts map[string]string)
	Close(ctx context.Context, kind, key string)
}

// untold is for whoever has nobody to tell.
type untold struct{}

func (untold) Open(context.Context, string, string, map[string]string) {}
func (untold) Close(context.Context, string, string)                   {}
