-- Health of a MiniCluster in Argo CD: key resource.customizations.health.flux-framework.org_MiniCluster of the
-- ConfigMap argocd-cm.
local health = {status = "Progressing", message = "the controller has not seen this version of the MiniCluster yet"}
if obj.status == nil or obj.status.conditions == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  if condition.status == "True" then
    conditions[condition.type] = condition
  end
end

-- Ready is also true once the work has completed.
for _, rule in ipairs({
  {"Stalled", "Degraded"},
  {"Suspended", "Suspended"},
  {"Ready", "Healthy"},
  {"Reconciling", "Progressing"},
}) do
  local condition = conditions[rule[1]]
  if condition ~= nil then
    health.status = rule[2]
    health.message = condition.message
    return health
  end
end

health.message = "not ready"
return health
