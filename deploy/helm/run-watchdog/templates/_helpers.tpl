{{- define "run-watchdog.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "run-watchdog.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "run-watchdog.labels" -}}
{{ include "run-watchdog.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* What every container of ours begins with. */}}
{{- define "run-watchdog.container" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
envFrom:
  - configMapRef:
      name: {{ include "run-watchdog.name" . }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- with .Values.openhands.caBundle.configMap }}
volumeMounts:
  - name: ca-bundle
    mountPath: /etc/ca-bundle
    readOnly: true
{{- end }}
{{- end }}

{{/* The pod of the Deployment and of the CronJob, up to its main container. */}}
{{- define "run-watchdog.pod" -}}
serviceAccountName: {{ include "run-watchdog.name" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
# It ends within 10 s of SIGTERM.
terminationGracePeriodSeconds: 15
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.openhands.caBundle.configMap }}
volumes:
  - name: ca-bundle
    configMap:
      name: {{ . }}
{{- end }}
{{- if and .Values.database.migrate.enabled (not .Values.observe) }}
initContainers:
  - name: migrate
    args: [migrate]
    {{- include "run-watchdog.container" . | nindent 4 }}
    env:
      {{- with .Values.database.migrate }}
      - name: AUTOMATION_DB_USER
        value: {{ .user | quote }}
      - name: AUTOMATION_DB_PASS
        valueFrom:
          secretKeyRef:
            name: {{ .existingSecret }}
            key: {{ .existingSecretKey }}
      {{- end }}
{{- end }}
{{- end }}

{{- define "run-watchdog.env" -}}
- name: AUTOMATION_DB_USER
  value: {{ .Values.database.user | quote }}
- name: AUTOMATION_DB_PASS
  valueFrom:
    secretKeyRef:
      name: {{ .Values.database.existingSecret }}
      key: {{ .Values.database.existingSecretKey }}
- name: AUTOMATION_SERVICE_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .Values.openhands.existingSecret }}
      key: {{ .Values.openhands.existingSecretKey }}
{{- if .Values.redis.existingSecret }}
- name: REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.redis.existingSecret }}
      key: {{ .Values.redis.existingSecretKey }}
{{- end }}
{{- end }}
