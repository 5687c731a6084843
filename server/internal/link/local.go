package link

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// LocalBase is the root of Mattermost's site on this machine, such as "https://127.0.0.1:8065/chat". An address of all
// interfaces is reached by loopback, a single one by itself.
func LocalBase(listen string, withTLS bool, siteURL string) (string, error) {
	scheme, port := "http", "80"
	if withTLS {
		scheme, port = "https", "443"
	}
	if strings.Contains(listen, "/") {
		return "", fmt.Errorf("ServiceSettings.ListenAddress %q is not host:port; set it in System Console > Environment > Web Server", listen)
	}
	host, given, err := net.SplitHostPort(listen)
	if err != nil {
		host = strings.Trim(listen, "[]")
	} else if given != "" {
		port = given
	}
	switch port {
	case "http":
		port = "80"
	case "https":
		port = "443"
	}
	if address := net.ParseIP(host); host == "" || address != nil && address.IsUnspecified() {
		host = "127.0.0.1"
	}
	path := ""
	if site, err := url.Parse(siteURL); err == nil {
		path = strings.TrimRight(site.EscapedPath(), "/")
	}
	return scheme + "://" + net.JoinHostPort(host, port) + path, nil
}
