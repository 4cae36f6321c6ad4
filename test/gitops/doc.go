// Package gitops tests what tools that deploy MiniClusters see of them: the library kstatus, which Flux CD, Helm and
// other tools use, and the health script for Argo CD. It is a separate module, so that the project does not depend
// these.
package gitops
