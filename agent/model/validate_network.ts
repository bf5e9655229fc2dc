/**
 * Rules for NetworkAttachmentDefinitions. Source: the Network Plumbing Working Group's de-facto standard, version 1.3.
 */
import type { Report } from "./finding.ts";
import type { NetworkAttachmentDefinition } from "./gen/v1.ts";
import { validateMetadata } from "./validate_objects.ts";

export function validateNetworkAttachment(network: NetworkAttachmentDefinition, report: Report): void {
  validateMetadata(network.metadata, report);
}
