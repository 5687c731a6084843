package courier

import (
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// helloName is what EHLO says (RFC 5321, 4.1.1.1): the connection's own, else a name that resolves, or the address as a
// literal.
func (t *conversation) helloName(ctx context.Context) string {
	for _, name := range []string{t.to.EHLOName, t.courier.Name} {
		if name != "" {
			return name
		}
	}
	return localName(ctx, t.line.LocalAddr())
}

func localName(ctx context.Context, local net.Addr) string {
	if name := hostName(ctx); name != "" {
		return name
	}
	host, _, err := net.SplitHostPort(local.String())
	if ip := net.ParseIP(host); err == nil && ip != nil {
		if ip.To4() == nil {
			return "[IPv6:" + ip.String() + "]"
		}
		return "[" + ip.String() + "]"
	}
	return "[127.0.0.1]"
}

const hostNameWait = 2 * time.Second

var hostNameOnce struct {
	sync.Mutex
	name string
	at   time.Time
}

// hostName is this host's full name if it resolves, else "". It is looked up anew after some minutes.
func hostName(ctx context.Context) string {
	hostNameOnce.Lock()
	defer hostNameOnce.Unlock()
	if !hostNameOnce.at.IsZero() && time.Since(hostNameOnce.at) < 10*time.Minute {
		return hostNameOnce.name
	}
	name, err := os.Hostname()
	if err != nil || !strings.Contains(strings.Trim(name, "."), ".") {
		name = ""
	} else {
		looking, cancel := context.WithTimeout(ctx, hostNameWait)
		defer cancel()
		if addresses, err := net.DefaultResolver.LookupHost(looking, name); err != nil || len(addresses) == 0 {
			name = ""
		}
	}
	hostNameOnce.name, hostNameOnce.at = name, time.Now()
	return name
}
