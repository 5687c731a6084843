// Postroom's one executable: the shim, which Mattermost starts, and the service, which the shim starts.
package main

import (
	"os"

	"github.com/mattermost/mattermost/server/public/plugin"

	"postroom/server/service"
	"postroom/server/shim"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == shim.RoleService {
		os.Exit(service.Run(os.Stdin, os.NewFile(3, "ready")))
	}
	plugin.ClientMain(&shim.Plugin{})
}
