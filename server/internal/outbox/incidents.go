package outbox

import (
	"context"
	"net"
	"strconv"

	"postroom/server/internal/core"
	"postroom/server/internal/courier"
)

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

// noting is the courier, which notes besides what certificate the server shows. One that nobody asks for (it is not
// verified) may end when it will.
func (o *Outbox) noting(courier *courier.Courier, to *core.Connection) *courier.Courier {
	if o.certificate == nil || !to.VerifyCertificate {
		return courier
	}
	noting := *courier
	noting.Observe = func(facts core.Facts) {
		if facts.Finished && facts.TLS != nil && len(facts.TLS.Chain) > 0 {
			o.certificate(to.Name, net.JoinHostPort(to.Server, strconv.Itoa(to.Port)), facts.TLS)
		}
	}
	return &noting
}
