// Package resources builds the objects of a MiniCluster: Secret, ConfigMap, Services,
// Job, volumes and the services pod. It also holds the names of these objects, the
// values that are fixed when a MiniCluster is created, and helpers that read the state
// of a Job.
//
// All functions are pure: they depend on their arguments and nothing else. Add a builder
// here when the controller has to create another object. Do not add a client, a lister
// or anything that knows the Controller.
package resources
