/**
 * Rules for NetworkAttachmentDefinitions. Source: the Network Plumbing Working Group's de-facto standard, version 1.3.
 */
import type { Report } from "./finding.ts";
import type { NetworkAttachmentDefinition } from "./gen/v1.ts";
import { networkIn } from "./networks.ts";
import { validateMetadata } from "./validate_objects.ts";

export function validateNetworkAttachment(definition: NetworkAttachmentDefinition, report: Report): void {
  validateMetadata(definition.metadata, report);
  const found = networkIn(definition);
  if (found !== undefined && "message" in found) report(["spec", "config"], found.message);
}
